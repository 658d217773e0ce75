import type { WatchEvent__Output } from '@tributary/proto/grpc';

import type { ObjectKind } from '../../domain/objects.js';
import { columnsOf } from '../columns.js';
import { readObject, type ShownObject } from '../objects.js';
import { formatValue, type OutputFormat } from '../output/formats.js';
import { tableLines } from '../output/table.js';
import { requireKind, requireReference } from '../reference.js';
import type { Session } from '../session.js';
import { watchObjects } from '../watch.js';

export interface GetOptions {
  readonly output: OutputFormat;
  readonly watch: boolean;
}

/** Lists a kind or shows one object; with `watch` goes on with every change until interrupted. */
export async function get(
  session: Session,
  kindWord: string,
  name: string | undefined,
  options: GetOptions,
): Promise<void> {
  const target = targetOf(kindWord, name);
  if (options.watch) return watch(session, target, options.output);
  const admin = await session.admin();
  if (target.name !== '') {
    return show(
      session,
      target.kind,
      [readObject(await admin.unary('GetObject', target))],
      options.output,
      true,
    );
  }
  const { objects } = await admin.unary('ListObjects', { kind: target.kind });
  if (objects.length === 0 && options.output === 'table') session.terminal.note(`No ${target.kind} found.`);
  else show(session, target.kind, objects.map(readObject), options.output, false);
}

interface Target {
  readonly kind: ObjectKind;
  /** Empty: all of the kind. */
  readonly name: string;
}

function targetOf(kindWord: string, name: string | undefined): Target {
  if (name === undefined && !kindWord.includes('/')) return { kind: requireKind(kindWord), name: '' };
  return requireReference(kindWord, name);
}

function show(
  session: Session,
  kind: ObjectKind,
  objects: readonly ShownObject[],
  output: OutputFormat,
  single: boolean,
): void {
  if (output === 'table') {
    for (const line of tableLines(columnsOf(kind, session.now()), objects)) session.terminal.out(line);
    return;
  }
  const documents = objects.map((object) => object.document);
  session.terminal.out(formatValue(single ? documents[0] : { kind: 'List', items: documents }, output));
}

async function watch(session: Session, target: Target, output: OutputFormat): Promise<void> {
  let titled = false;
  for await (const event of watchObjects(session, target.kind, target.name)) {
    if (event.object === null) continue;
    const object = readObject(event.object);
    if (output !== 'table') {
      session.terminal.out(watchedValue(event, object, output));
      continue;
    }
    const [title, line] = tableLines(columnsOf(target.kind, session.now()), [object]);
    if (!titled) session.terminal.out(title ?? '');
    titled = true;
    session.terminal.out(event.type === 'DELETED' ? `${line ?? ''}   (deleted)` : (line ?? ''));
  }
}

/** One line of JSON, or one YAML document, per event: what a script can read as it arrives. */
function watchedValue(event: WatchEvent__Output, object: ShownObject, output: 'json' | 'yaml'): string {
  const value = { type: event.type, seq: event.seq, object: object.document };
  return output === 'json' ? JSON.stringify(value) : `---\n${formatValue(value, 'yaml')}`;
}
