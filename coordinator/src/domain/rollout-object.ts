import { LIMITS, type ModelReference, type ModelRolloutObject, type RolloutStatus } from '@tributary/proto';

import { activeIdentities } from './enrolment.js';
import type { AgentState, FederationState, ModelRolloutState, RolloutState } from './federation-state.js';
import { currentRollout, rolloutFor } from './rollouts.js';
import type { AgentPresence, Presence } from './presence.js';

type Sites = RolloutStatus['sites'];

/** A rollout as `get` shows it: the newest that was not undone, or the newest of all. */
export function rolloutObject(
  state: FederationState,
  model: ModelRolloutState,
  presence: Presence,
): ModelRolloutObject {
  const current = currentRollout(model);
  const shown = current ?? model.rollouts.at(-1);
  if (shown === undefined) throw new TypeError('a model without rollouts has no object');
  const generation =
    model.rollouts.length + model.rollouts.filter(({ undoneSeq }) => undoneSeq !== undefined).length;
  const { apiVersion, kind, metadata, spec } = shown.document;
  return {
    apiVersion,
    kind,
    metadata: {
      ...metadata,
      creationTimestamp: timeOf(model.rollouts[0]?.appliedAt ?? 0),
      generation,
    },
    spec,
    status: statusOf(state, model, shown, { presence, generation }),
  };
}

interface Shown {
  readonly presence: Presence;
  readonly generation: number;
}

function statusOf(
  state: FederationState,
  model: ModelRolloutState,
  rollout: RolloutState,
  { presence, generation }: Shown,
): RolloutStatus {
  const { rolloutId, version, manifestDigest, undoneAt } = rollout;
  const stable: ModelReference = { name: model.model, version, digest: manifestDigest };
  const selected = selectedSites(state, model, rollout);
  const serves = ({ agentId }: AgentState): boolean => isServing(presence.get(agentId), stable);
  const refusals = refusalsOf(selected, rolloutId, presence);
  const sites = {
    selected: selected.length,
    serving: selected.filter(({ approved }) => {
      const present = approved.filter(({ agentId }) => presence.has(agentId));
      return present.length > 0 && present.every(serves);
    }).length,
    refused: refusals.length,
  };
  const replicas = selected.flatMap(({ approved }) => approved).filter(({ kind }) => kind === 'Serving');
  const isUndone = undoneAt !== undefined;
  const [reason, message] = isUndone ? UNDONE : judge(sites);
  const complete = sites.selected > 0 && sites.serving === sites.selected;
  return {
    observedGeneration: generation,
    rolloutId,
    phase: isUndone ? 'Undone' : complete ? 'Complete' : 'Progressing',
    conditions: [
      {
        type: 'Ready',
        status: reason === 'AllSitesServe' ? 'True' : 'False',
        observedGeneration: generation,
        lastTransitionTime: timeOf(undoneAt ?? rollout.appliedAt),
        reason,
        message,
      },
    ],
    ...(isUndone ? {} : { stable }),
    weight: isUndone ? 0 : (rollout.document.spec.steps.at(-1)?.weight ?? 0),
    sites,
    refusals: refusals.slice(0, LIMITS.refusalsTold),
    replicas: { selected: replicas.length, serving: replicas.filter(serves).length },
  };
}

type Reason = RolloutStatus['conditions'][number]['reason'];
const UNDONE: readonly [Reason, string] = ['Undone', 'Every rollout of the model was undone.'];

function judge({ selected, serving, refused }: Sites): readonly [Reason, string] {
  if (selected === 0) return ['NoSites', 'The selector selects no site that has joined and is approved.'];
  if (serving === selected) return ['AllSitesServe', 'Every selected site serves the version.'];
  const message = `${String(serving)} of ${String(selected)} selected sites serve the version.`;
  return refused > 0
    ? ['RefusedBySites', `${message} ${String(refused)} refused it; status.refusals says why.`]
    : ['WaitingForSites', message];
}

/** A site that follows a rollout, and who of it may serve. */
interface SelectedSite {
  readonly site: string;
  /** One at least. */
  readonly approved: readonly AgentState[];
}

/** Sites that may serve and follow this very rollout: of others a newer one with another selector took hold, or none. */
function selectedSites(
  state: FederationState,
  model: ModelRolloutState,
  { rolloutId }: RolloutState,
): readonly SelectedSite[] {
  return [...state.sites.values()]
    .filter((site) => {
      const followed = rolloutFor(model, site);
      return followed?.serves === true && followed.rollout.rolloutId === rolloutId;
    })
    .map(({ site }) => ({ site, approved: approvedIdentities(state, site) }))
    .filter(({ approved }) => approved.length > 0);
}

const approvedIdentities = (state: FederationState, site: string): readonly AgentState[] =>
  activeIdentities(state, site).filter(({ approvedAt }) => approvedAt !== undefined);

/** One a site: the first of its identities that refused. */
function refusalsOf(
  sites: readonly SelectedSite[],
  rolloutId: string,
  presence: Presence,
): RolloutStatus['refusals'] {
  return sites.flatMap(({ site, approved }) => {
    const [refusal] = approved.flatMap(
      ({ agentId }) => presence.get(agentId)?.refusals?.get(rolloutId) ?? [],
    );
    return refusal === undefined ? [] : [{ site, code: refusal.code, detail: refusal.detail.slice(0, 512) }];
  });
}

function isServing(presence: AgentPresence | undefined, wanted: ModelReference): boolean {
  return (
    presence?.serving?.some(({ model, version }) => model === wanted.name && version === wanted.version) ??
    false
  );
}

const timeOf = (ms: number): string => new Date(ms).toISOString();
