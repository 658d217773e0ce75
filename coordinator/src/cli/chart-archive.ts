import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { TributaryError } from '@tributary/proto';

import { tarEnd, tarHeader, tarPadding } from '../adapters/backup/tar.js';

/** The chart of agents, beside this package in the clone and in images. */
export const AGENT_CHART = fileURLToPath(new URL('../../../deploy/charts/tributary-agent', import.meta.url));
/** Name of the chart, and of the folder in its archive. */
const NAME = 'tributary-agent';

/**
 * The chart in a folder as helm packs it (a gzipped tar below the chart's name); the same files give the same bytes.
 * Rejects with USAGE where the folder holds no chart.
 */
export async function chartArchive(folder: string): Promise<Buffer> {
  const names = await filesOf(folder);
  if (!names.includes('Chart.yaml')) throw noChart(folder);
  const parts: Buffer[] = [];
  for (const name of names) {
    const content = await readFile(join(folder, name));
    parts.push(tarHeader(`${NAME}/${name}`, content.length), content, tarPadding(content.length));
  }
  return gzipSync(Buffer.concat([...parts, tarEnd()]), { level: 9 });
}

async function filesOf(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, '/').length))
      .sort();
  } catch (cause) {
    throw noChart(folder, cause);
  }
}

const noChart = (folder: string, cause?: unknown): TributaryError =>
  new TributaryError('USAGE', `${folder}: no chart of agents is there`, {
    ...(cause !== undefined && { cause }),
    hint: 'Name the folder deploy/charts/tributary-agent of the clone with --chart.',
  });
