export { FrozenClock } from './frozen-clock.js';
export { signInAs } from './sign-in-as.js';
export { startEmbeddedPostgres } from './embedded-postgres.js';
export type { EmbeddedPostgres, EmbeddedPostgresOptions } from './embedded-postgres.js';
export { MemoryMailer } from './memory-mailer.js';
export { flowContract } from './flow-contract.js';
export type { FlowContractOptions, FlowRule } from './flow-contract.js';
export { VirtualAuthenticator } from './virtual-authenticator.js';
export type { DevToolsSession, VirtualAuthenticatorOptions, VirtualCredential } from './virtual-authenticator.js';
