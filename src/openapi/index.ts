export { withAuthPaths } from './with-auth-paths.js';
export type { AuthPathsOptions, OpenApiDocument } from './with-auth-paths.js';
