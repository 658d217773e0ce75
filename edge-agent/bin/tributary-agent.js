#!/usr/bin/env node
import { setTimeout } from 'node:timers';
import { setFlagsFromString } from 'node:v8';

// Chunks of downloads and uploads live outside the heap and would start incremental marking again and again; without
// it a transfer costs half the CPU. The flag has to be set before the first garbage collection.
setFlagsFromString('--no-incremental-marking');

const [{ runAgent }, { LIMITS }] = await Promise.all([import('../dist/main.js'), import('@tributary/proto')]);
const args = process.argv.slice(2);
process.exitCode = await runAgent(args);
// A connection that broke in the middle of a frame may never be told to be closed: a daemon that has stopped does not wait
// for it. What other commands print is written out first, however slowly it is read.
if (args[0] === 'run' || args[0] === 'serve') setTimeout(() => process.exit(), LIMITS.daemonLeaveMs).unref();
