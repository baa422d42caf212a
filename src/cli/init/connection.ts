import { byHand, ENTITIES, MIGRATIONS, PACKAGE } from './module-text.js';
import type { Literal, Property, SourceFile } from './source-file.js';
import { closing, matches } from './tokens.js';

/** The connection of the application that AuthModule uses. */
export interface Connection {
  readonly isNew: boolean;
  readonly name: string | undefined;
  /** Whether the migrations run when the application starts. */
  readonly migrates: boolean;
}

/** What is not written there by name, such as `...base`, could be overridden by an addition. */
export function propertiesOf(file: SourceFile, literal: Literal, what: string): ReadonlyMap<string, Property> {
  if (!file.isPlain(literal)) throw byHand(`${what} in ${file.path} are not all written there by name`, file.path);
  return file.propertiesOf(literal);
}

/** Adds entities and migrations to the application's own connection; `undefined` if it has none by TypeOrmModule. */
export function extendConnection(sources: readonly SourceFile[]): Connection | undefined {
  const found = sources.flatMap((file) =>
    file.callsOf('TypeOrmModule', ['forRoot', 'forRootAsync']).map((call) => ({ file, ...call })),
  );
  if (found.length === 0) return undefined;
  const [{ file, method, open }] = found as [(typeof found)[number]];
  if (found.length > 1)
    throw byHand('There are several TypeOrmModule.forRoot, and AuthModule needs one of them', file.path);
  const options = method === 'forRoot' ? firstArgument(file, open) : returnedByFactory(file, open);
  if (!options)
    throw byHand(`The options of TypeOrmModule in ${file.path} are not written there as an object`, file.path);
  const properties = propertiesOf(file, options, 'The options of TypeOrmModule');
  const type = properties.get('type');
  if (!type || file.stringOf(type) !== 'postgres') {
    const reason = `The connection in ${file.path} is not of type 'postgres'`;
    throw byHand(
      `${reason}: give AuthModule one that is, by a name of its own (\`name\` there, \`dataSource\` here)`,
      file.path,
    );
  }
  // Of forRootAsync, the name is written beside the factory.
  const outer = firstArgument(file, open);
  const nameProperty =
    properties.get('name') ?? (outer && propertiesOf(file, outer, 'The options of TypeOrmModule').get('name'));
  const name = nameProperty && file.stringOf(nameProperty);
  if (nameProperty && name === undefined)
    throw byHand(`The name of the connection in ${file.path} is not a string`, file.path);
  const added: string[] = [];
  for (const [key, spread] of [
    ['entities', ENTITIES],
    ['migrations', MIGRATIONS],
  ] as const) {
    const property = properties.get(key);
    const list = property && file.literalOf(property, '[');
    if (property && !list) throw byHand(`The ${key} of the connection in ${file.path} are not an array`, file.path);
    if (list) file.append(list, [spread]);
    else added.push(`${key}: [${spread}]`);
  }
  // Where there are migrations already, when they run is the application's decision.
  const runs = properties.get('migrationsRun');
  const migrates = runs ? file.tokens[runs.value]!.text === 'true' : !properties.has('migrations');
  if (!runs && migrates) added.push('migrationsRun: true');
  if (added.length > 0) file.append(options, added);
  file.import(['authEntities', 'authMigrations'], PACKAGE);
  return { isNew: false, name, migrates };
}

function firstArgument(file: SourceFile, open: number): Literal | undefined {
  if (file.tokens[open + 1]?.text !== '{') return undefined;
  return { open: open + 1, close: closing(file.tokens, open + 1) };
}

/** The one object that `useFactory` returns. */
function returnedByFactory(file: SourceFile, open: number): Literal | undefined {
  const options = firstArgument(file, open);
  const factory = options && file.propertiesOf(options).get('useFactory');
  if (!factory) return undefined;
  const { tokens } = file;
  const objects: number[] = [];
  for (let i = factory.value; i <= factory.end; i++) {
    if (matches(tokens, i, '=', '>', '(', '{')) objects.push(i + 3);
    if (matches(tokens, i, 'return', '{')) objects.push(i + 1);
  }
  return objects.length === 1 ? { open: objects[0]!, close: closing(tokens, objects[0]!) } : undefined;
}
