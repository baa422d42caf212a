import { rspack } from '@rspack/core';

// What Nest 12 imports only if it is there, and does not tell rspack.
const optional = new rspack.IgnorePlugin({ resourceRegExp: /^@nestjs\/(microservices|websockets)\// });

export default (options) => ({
  ...options,
  externals: [{ '@node-rs/argon2': 'node-commonjs @node-rs/argon2' }],
  externalsPresets: { node: true },
  plugins: [...options.plugins, optional],
});
