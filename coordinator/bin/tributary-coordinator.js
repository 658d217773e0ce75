#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';

// Chunks of uploads and downloads live outside the heap, and their growth starts incremental marking again and again
// while the heap itself stays small: without it a transfer costs half the CPU. The flag has to be set before the first
// garbage collection; in the shim it holds however the daemon is started.
setFlagsFromString('--no-incremental-marking');

const { runCoordinator } = await import('../dist/main.js');
process.exitCode = await runCoordinator(process.argv.slice(2));
