export type { Expectation, Placeholders } from './command-tree.js';
export { errorReport } from './error-report.js';
export { addSharedCommands } from './shared-commands.js';
export { hintUsage } from './usage-hints.js';
