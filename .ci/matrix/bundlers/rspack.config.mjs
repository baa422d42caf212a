import { rspack } from '@rspack/core';

// What Nest 12.5 imports only if it is there, and does not tell rspack.
const optional = new rspack.IgnorePlugin({ resourceRegExp: /^@nestjs\/(microservices|websockets)\// });

export default (options) => ({
  ...options,
  // The first of the list leaves everything in node_modules outside, the others the modules of Node.
  externals: [{ '@node-rs/argon2': 'module @node-rs/argon2' }, ...options.externals.slice(1)],
  plugins: [...options.plugins, optional],
});
