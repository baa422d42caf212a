import { getMetadataArgsStorage } from 'typeorm';

type EntityClass = new () => object;

/**
 * The same entity on a table with another name; its indexes and constraints are named after that table, as in the
 * migrations. `replaced` maps the entities it refers to. If the name is already its own, the entity itself.
 */
export function entityOnTable(
  entity: EntityClass,
  table: string,
  replaced: ReadonlyMap<unknown, EntityClass> = new Map(),
): EntityClass {
  const storage = getMetadataArgsStorage();
  const own = storage.tables.find(({ target }) => target === entity)!.name!;
  if (own === table && [...replaced].every(([from, to]) => from === to)) return entity;

  const renamed = { [entity.name]: class {} }[entity.name]!;
  const rename = <Name extends string | undefined>(name: Name) =>
    name?.replace(new RegExp(`^${own}_`), () => `${table}_`);
  const declared = <Args extends { target: unknown }>(args: readonly Args[]) =>
    args.filter(({ target }) => isSelfOrParent(target, entity)).map((one) => ({ ...one, target: renamed }));
  storage.tables.push(...declared(storage.tables).map((one) => ({ ...one, name: table })));
  storage.columns.push(
    ...declared(storage.columns).map((one) => ({
      ...one,
      options: { ...one.options, primaryKeyConstraintName: rename(one.options.primaryKeyConstraintName) },
    })),
  );
  storage.generations.push(...declared(storage.generations));
  storage.indices.push(...declared(storage.indices).map((one) => ({ ...one, name: rename(one.name) })));
  storage.checks.push(...declared(storage.checks).map((one) => ({ ...one, name: rename(one.name) })));
  storage.uniques.push(...declared(storage.uniques).map((one) => ({ ...one, name: rename(one.name) })));
  storage.foreignKeys.push(
    ...declared(storage.foreignKeys).map((one) => {
      const type = one.type as () => unknown;
      return { ...one, name: rename(one.name), type: () => replaced.get(type()) ?? type() };
    }),
  );
  return renamed;
}

const isSelfOrParent = (target: unknown, entity: EntityClass): boolean =>
  typeof target === 'function' && (target === entity || target.prototype.isPrototypeOf(entity.prototype));
