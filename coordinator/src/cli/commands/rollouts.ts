import { parseModelRollout, TributaryError } from '@tributary/proto';

import { requireVersion } from '../export/model-download.js';
import { readObject, text } from '../objects.js';
import type { Session } from '../session.js';
import { submit } from './apply.js';
import { requireLabels } from './sites.js';

export interface RolloutOptions {
  /** `key=value`. */
  readonly selector: readonly string[];
  readonly author?: string;
  readonly dryRun: boolean;
}

/** Signs and submits the rollout of one version to the sites that carry the labels. The same again changes nothing. */
export async function setRollout(
  session: Session,
  reference: string,
  options: RolloutOptions,
): Promise<void> {
  const { name, version } = requireVersion(reference);
  if (version === 0) {
    throw new TributaryError('USAGE', `${reference}: name the version as NAME@VERSION`, {
      hint: `tributary models get ${name} -o yaml shows the versions`,
    });
  }
  const document = parseModelRollout({
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'ModelRollout',
    metadata: { name },
    spec: {
      model: name,
      siteSelector: { matchLabels: requireLabels(options.selector, '--selector') },
      steps: [{ version }],
    },
  });
  await submit(session, [document], options);
}

/** Takes the newest rollout of a model back. */
export async function undoRollout(session: Session, reference: string): Promise<void> {
  const model = reference.replace(/^rollout\//, '');
  const admin = await session.admin();
  const before = readObject(await admin.unary('GetObject', { kind: 'ModelRollout', name: model }));
  if (text(before.document, ['status', 'phase']) === 'Undone')
    throw new TributaryError('CONFLICT', `every rollout of ${model} was undone already`);
  const rolloutId = text(before.document, ['status', 'rolloutId']);
  const { document } = readObject(await admin.unary('UndoRollout', { model, rolloutId }));
  const version = text(document, ['status', 'stable', 'version'], '');
  session.terminal.out(
    version === ''
      ? `modelrollout/${model} undone; no version is served any more`
      : `modelrollout/${model} undone; version ${version} is served again`,
  );
}
