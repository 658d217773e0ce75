import cliProgress from 'cli-progress';

import type { Terminal } from './terminal.js';

/** Progress of something with a known end: a bar on a terminal, a line at each tenth and each new detail elsewhere. */
export interface Progress {
  update(done: number, detail?: string): void;
  stop(): void;
}

export function startProgress(terminal: Terminal, title: string, total: number, unit: string): Progress {
  return terminal.interactive ? bar(title, total, unit) : lines(terminal, title, total, unit);
}

function bar(title: string, total: number, unit: string): Progress {
  const drawn = new cliProgress.SingleBar(
    { format: `${title} {bar} {value}/{total} ${unit} {detail}`, hideCursor: true, stream: process.stderr },
    cliProgress.Presets.shades_classic,
  );
  drawn.start(total, 0, { detail: '' });
  return {
    update: (done, detail = '') => drawn.update(done, { detail }),
    stop: () => drawn.stop(),
  };
}

function lines(terminal: Terminal, title: string, total: number, unit: string): Progress {
  let shown = -1;
  let told = '';
  return {
    update(done, detail = '') {
      const tenth = total === 0 ? 10 : Math.floor((10 * done) / total);
      if (tenth === shown && (detail === '' || detail === told)) return;
      shown = tenth;
      told = detail;
      terminal.note(
        `${title}: ${String(done)}/${String(total)} ${unit}${detail === '' ? '' : `: ${detail}`}`,
      );
    },
    stop: () => undefined,
  };
}
