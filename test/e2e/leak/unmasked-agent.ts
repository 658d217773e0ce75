import { register } from 'node:module';

/**
 * The agent with other masks than it should have, in an otherwise true secure round: TEST_MASKS says which it keeps. It
 * proves that the search of the leak test finds an update that is not masked.
 */
register('./mask-hooks.js', import.meta.url, { data: { kept: process.env['TEST_MASKS'] } });

const { runAgent } = await import('@tributary/edge-agent');
process.exitCode = await runAgent(process.argv.slice(2));
