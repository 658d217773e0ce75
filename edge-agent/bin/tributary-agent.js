#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';

// Chunks of downloads and uploads live outside the heap and would start incremental marking again and again; without
// it a transfer costs half the CPU. The flag has to be set before the first garbage collection.
setFlagsFromString('--no-incremental-marking');

const { runAgent } = await import('../dist/main.js');
process.exitCode = await runAgent(process.argv.slice(2));
