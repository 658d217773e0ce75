import { readFile } from 'node:fs/promises';

import { feedingField, parseStreamPipeline, TributaryError, type StreamPipeline } from '@tributary/proto';
import { parse } from 'yaml';

import { fileError } from '../adapters/files/file-error.js';
import type { AgentConfig } from '../config.js';
import { ENDPOINT_SOURCE } from '../domain/serving/prediction-entries.js';

/**
 * The pipelines of agent.yaml, all of them checked before any is started. Rejects with CONFIG_INVALID naming the file, the
 * field and the fix.
 */
export async function readPipelines({
  pipelines,
  brokers,
}: Pick<AgentConfig, 'pipelines' | 'brokers'>): Promise<readonly StreamPipeline[]> {
  const documents: StreamPipeline[] = [];
  for (const path of pipelines) {
    const document = await readPipeline(path);
    const { name } = document.metadata;
    if (documents.some(({ metadata }) => metadata.name === name))
      throw invalid(path, `metadata.name: ${name} occurs twice; give each pipeline its own name`);
    if (name === ENDPOINT_SOURCE)
      throw invalid(path, `metadata.name: ${name} is what the local endpoint is called; choose another`);
    const { broker } = document.spec.source;
    if (!brokers.some((known) => known.name === broker)) {
      const names = brokers.map((known) => known.name).join(', ');
      const fix = names === '' ? 'add it to brokers of agent.yaml' : `use one of ${names}`;
      throw invalid(path, `spec.source.broker: agent.yaml has no broker ${broker}; ${fix}`);
    }
    documents.push(document);
    const loop = loopThrough(document, documents);
    if (loop !== undefined) throw invalid(path, loop);
  }
  return documents;
}

/**
 * What is wrong where messages of a pipeline come back to it through others, which would go round for ever. Pipelines may
 * read what others publish.
 */
function loopThrough(start: StreamPipeline, all: readonly StreamPipeline[]): string | undefined {
  const seen = new Set<StreamPipeline>();
  const open = [start];
  for (let from = open.pop(); from !== undefined; from = open.pop())
    for (const to of all) {
      if (to.spec.source.broker !== from.spec.source.broker) continue;
      const field = feedingField(from.spec, to.spec);
      if (field === undefined || seen.has(to)) continue;
      if (to === start)
        return `what ${start.metadata.name} publishes comes back to it by ${field} of ${from.metadata.name}; choose another topic there`;
      seen.add(to);
      open.push(to);
    }
  return undefined;
}

/** The pipeline in a YAML or JSON file. Rejects with CONFIG_INVALID naming the file and the field. */
export async function readPipeline(path: string): Promise<StreamPipeline> {
  try {
    return parseStreamPipeline(parse(await readFile(path, 'utf8'), { maxAliasCount: 0 }));
  } catch (error) {
    if (error instanceof TributaryError) throw invalid(path, error.message, error);
    if (error instanceof Error && 'code' in error && 'syscall' in error)
      throw invalid('pipelines', fileError(error, path).message, error);
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : '';
    throw invalid(path, `not readable as YAML: ${reason}`, error);
  }
}

const invalid = (file: string, what: string, cause?: unknown): TributaryError =>
  new TributaryError('CONFIG_INVALID', `${file}: ${what}`, { cause, fields: { file } });
