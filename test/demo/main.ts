import { parseArgs } from 'node:util';

import { runBranch } from './branch/demo.js';
import { runHospital } from './hospital/demo.js';
import type { DemoOptions, DemoResult } from './result.js';
import { resultJson, resultTable } from './report.js';

const DEMOS: Readonly<Record<string, (options: DemoOptions) => Promise<DemoResult>>> = {
  branch: runBranch,
  hospital: runHospital,
};

const USAGE = `usage: npm run demo [-- branch|hospital] [--once] [--keep] [--json]
  branch    loans of four regional bank branches (the default)
  hospital  breast cancer patients of three hospitals
  --once    end after the table; the default, unless --keep is given
  --keep    leave the daemons running after the table, until Ctrl-C
  --json    end with one line of JSON instead of the table`;

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      once: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const demo = DEMOS[positionals[0] ?? 'branch'];
  if (demo === undefined || positionals.length > 1 || (values.once && values.keep)) {
    process.stderr.write(`${USAGE}\n`);
    return 10;
  }
  const result = await demo({
    keep: values.keep,
    ...(!values.json && { live: (line: string) => void process.stdout.write(`${line}\n`) }),
    say: (line) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`),
    finished: (done) => {
      const lines = values.json ? [] : resultTable(done);
      for (const line of lines) process.stdout.write(`${line}\n`);
    },
  });
  if (values.json) process.stdout.write(`${resultJson(result)}\n`);
  return result.ok ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
