export { causeCode, diskError, isMissing, saidDiskError } from './disk-error.js';
export {
  DIRECTORY_MODE,
  FILE_MODE,
  hasRoom,
  isTemporaryName,
  makeDirectory,
  syncDirectory,
  temporaryName,
  writeDurably,
  writeFully,
  type Chunks,
} from './durable-file.js';
export { limitCallers, pageServer } from './http-server.js';
export { readSealingKey, SEALING_KEY_BYTES } from './sealing-key.js';
