import { fetchTools } from './tools.js';

await fetchTools((line) => void process.stdout.write(`${line}\n`));
