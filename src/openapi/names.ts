/** How one of our names is spelled in a document: a prefix may keep it apart from those of the application. */
export type Naming = (name: string) => string;

export interface Names {
  readonly schema: Naming;
  readonly scheme: Naming;
  readonly operation: Naming;
}
