export default (options) => ({
  ...options,
  externals: [/^@node-rs\/argon2/],
});
