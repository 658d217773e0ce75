import { Emulator } from './emulator.js';

/** For a look by hand: an emulator whose containers are pretended, until the process is stopped. */
const emulator = await Emulator.start();
process.stdout.write(`export KUBECONFIG=${emulator.kubeconfig}\n`);
process.once('SIGTERM', () => void emulator.stop());
process.once('SIGINT', () => void emulator.stop());
