import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { parseStreamPipeline, type StreamPipeline } from '@tributary/proto';
import { parse } from 'yaml';

import { repositoryRoot } from '../../support/daemon.js';

/** A StreamPipeline document as a site gets it. */
export interface PlannedPipeline {
  /** Beside agent.yaml. */
  readonly file: string;
  readonly text: string;
  readonly document: StreamPipeline;
}

/** Reads a document; `path` is relative to the repository. */
export async function pipelineAt(path: string): Promise<PlannedPipeline> {
  const text = await readFile(join(repositoryRoot, path), 'utf8');
  return { file: basename(path), text, document: parseStreamPipeline(parse(text)) };
}

/** A topic of a template in which every name stands for `value`; `+` makes it a filter of all. */
export const topicOf = (template: string, value: string): string => template.replace(/\{\w+\}/g, value);

/** What stands in `topic` in the place of the first name of its template. */
export function valueIn(template: string, topic: string): string {
  const place = template.split('/').findIndex((level) => level.startsWith('{'));
  return topic.split('/')[place] ?? '';
}
