import type { LocalFederation } from '../../support/federation.js';

/** Has every site serve a version, as an operator would, and waits until they do. */
export async function rollOut(
  federation: LocalFederation,
  { model, version }: { readonly model: string; readonly version: number },
): Promise<void> {
  await federation.cliText('rollout', 'set', `${model}@${String(version)}`);
  await federation.cliText('wait', '--for=condition=Ready', `rollout/${model}`, '--timeout', '60s');
}
