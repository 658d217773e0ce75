import type { LocalFederation } from '../../support/federation.js';
import { eventually } from '../../support/waiting.js';

const PATIENCE_MS = 60_000;

/** Has every site serve a version, as an operator would, and waits until their pipelines receive and answer with it. */
export async function rollOut(
  federation: LocalFederation,
  { model, version }: { readonly model: string; readonly version: number },
): Promise<void> {
  await federation.cliText('rollout', 'set', `${model}@${String(version)}`);
  await federation.cliText('wait', '--for=condition=Ready', `rollout/${model}`, '--timeout', '60s');
  await Promise.all(
    [...federation.agents.keys()].map((site) => pipelinesAnswer(federation, site, model, version)),
  );
}

async function pipelinesAnswer(
  federation: LocalFederation,
  site: string,
  model: string,
  version: number,
): Promise<void> {
  const answers = async (): Promise<true | undefined> => {
    const { pipelines } = await federation.agentStatus(site);
    const ready = pipelines.every(
      (pipeline) =>
        pipeline.state === 'Running' && (pipeline.model !== model || pipeline.version === version),
    );
    return (pipelines.length > 0 && ready) || undefined;
  };
  await eventually(`the pipelines of ${site} to run`, answers, PATIENCE_MS);
}
