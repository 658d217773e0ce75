import { AedesBroker } from '../../support/aedes-broker.js';

/* Brokers of a demo, as many as the argument says: prints their ports, and ends with its standard input. */
const count = Number(process.argv[2]);
const brokers = await Promise.all(Array.from({ length: count }, () => AedesBroker.start()));
process.stdin.resume().once('close', () => process.exit(0));
process.stdout.write(`${JSON.stringify(brokers.map(({ port }) => port))}\n`);
