module.exports = (options) => ({
  ...options,
  externals: [/^@node-rs\/argon2/],
});
