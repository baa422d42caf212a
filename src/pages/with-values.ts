/**
 * A text with each of these values in the place of its name, such as `{name}`. A value stands as it is, also `$&` and
 * `{name}` in it; a name that has no value stays.
 */
export function withValues(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => (Object.hasOwn(values, name) ? values[name]! : whole));
}
