/** The dark modules of a QR code drawn as squares in an SVG, row by row; throws for what it does not know how to read. */
export function modulesOf(svg: string): boolean[][] {
  const [, width] = /viewBox="0 0 (\d+) \1"/.exec(svg)!;
  const squares = /<path fill="black" d="((?:M\d+,\d+h\d+v\d+h-\d+z)+)"/.exec(svg)![1]!.match(/M[^M]+/g)!;
  const corners = squares.map((square) => {
    const [, x, y, side, down, back] = /^M(\d+),(\d+)h(\d+)v(\d+)h-(\d+)z$/.exec(square)!.map(Number);
    if (side !== down || side !== back) throw new Error(`Not a square: ${square}`);
    return { x: x! / side!, y: y! / side!, side: side! };
  });
  const size = Number(width) / corners[0]!.side;
  const painted = Array.from({ length: size }, () => Array.from({ length: size }, () => false));
  for (const { x, y } of corners) painted[y]![x] = true;
  return painted;
}
