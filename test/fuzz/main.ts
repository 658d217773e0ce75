import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { LocalFederation } from '../support/federation.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { CODECS, fuzzCheckpoint, fuzzCodec, type CodecReport } from './codecs.js';
import { fuzzRpc, reportLine } from './rpc/fuzz.js';
import { FuzzWorld } from './rpc/world.js';

interface Options {
  readonly perRpc: number;
  readonly perCodec: number;
  readonly seed: number;
}

/** Rounds of the job that runs beside the messages. */
const ROUNDS = 1_000;

/** `npm run fuzz -- --per-rpc N --per-codec N --seed S`: longer than CI; ends with 1 where something is to be mended. */
async function main(): Promise<number> {
  const options = readOptions();
  console.log(`seed ${String(options.seed)}: the same seed sends the same messages`);
  const findings = [...(await fuzzCodecs(options)), ...(await fuzzRpcs(options))];
  console.log(findings.length === 0 ? 'no findings' : `${String(findings.length)} findings:`);
  for (const finding of findings) console.log(`  ${finding}`);
  return findings.length === 0 ? 0 : 1;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      'per-rpc': { type: 'string', default: '20000' },
      'per-codec': { type: 'string', default: '1000000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    },
  });
  return { perRpc: count(values['per-rpc']), perCodec: count(values['per-codec']), seed: count(values.seed) };
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`${text}: not a whole number`);
}

async function fuzzCodecs({ perCodec, seed }: Options): Promise<string[]> {
  const findings: string[] = [];
  const tried = async (run: () => Promise<CodecReport> | CodecReport): Promise<void> => {
    try {
      const { codec, inputs, accepted, refused, slowestMs } = await run();
      console.log(
        `${codec.padEnd(28)} ${String(inputs).padStart(8)} inputs  ${String(accepted).padStart(8)} read  ${String(refused).padStart(8)} refused  slowest ${slowestMs.toFixed(1)} ms`,
      );
    } catch (error) {
      findings.push(String(error));
    }
  };
  for (const codec of CODECS)
    await tried(() => fuzzCodec(codec, Math.ceil(perCodec / (codec.slowdown ?? 1)), seed));
  await tried(() => fuzzCheckpoint(perCodec, seed));
  return findings;
}

async function fuzzRpcs({ perRpc, seed }: Options): Promise<string[]> {
  const directory = await temporaryDirectory();
  const world = await FuzzWorld.create(
    await LocalFederation.start(join(directory.path, 'federation')),
    ROUNDS,
  );
  const findings: string[] = [];
  try {
    for (const target of await world.targets()) {
      const report = await fuzzRpc(target, perRpc, seed);
      console.log(`${reportLine(report)}, ${String(await world.residentMebibytes())} MiB`);
      findings.push(...report.findings.map((finding) => `${target.title}: ${finding}`));
      if (!(await world.healthy()))
        return [...findings, `${target.title}: the coordinator is not healthy any more`];
      await world.awaitProgress();
    }
    findings.push(...(await world.errorLines()));
  } catch (error) {
    findings.push(String(error));
  } finally {
    await world.close();
    await directory.remove();
  }
  return findings;
}

process.exitCode = await main();
