module.exports = (options) => ({
  ...options,
  externals: [],
  module: { ...options.module, rules: [...options.module.rules, { test: /\.node$/, loader: 'node-loader' }] },
});
