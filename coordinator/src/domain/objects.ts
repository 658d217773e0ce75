import type { LedgerEntry, ModelObject, ServedObject } from '@tributary/proto';

import type { FederationState, ModelState } from './federation-state.js';
import { findJob } from './job-queue.js';
import { jobObject } from './job-object.js';
import { rolloutObject } from './rollout-object.js';
import type { Presence } from './presence.js';
import { siteObject } from './site-object.js';

export type ObjectKind = ServedObject['kind'];

/** What kinds may be called in lower case: name, plural and short names. */
const KINDS: ReadonlyMap<string, ObjectKind> = new Map([
  ...['federatedjob', 'federatedjobs', 'fj', 'job', 'jobs'].map((word) => [word, 'FederatedJob'] as const),
  ...['site', 'sites'].map((word) => [word, 'Site'] as const),
  ...['model', 'models'].map((word) => [word, 'Model'] as const),
  ...['modelrollout', 'modelrollouts', 'rollout', 'rollouts', 'mr'].map(
    (word) => [word, 'ModelRollout'] as const,
  ),
]);

/** The kind that a word of an operator names, in any case; undefined where there is none. */
export function kindNamed(word: string): ObjectKind | undefined {
  return KINDS.get(word.toLowerCase());
}

/** An object as it is served, with the sequence of its last change. */
export interface ObjectView {
  readonly object: ServedObject;
  readonly seq: number;
}

export interface ObjectName {
  readonly kind: ObjectKind;
  readonly name: string;
}

/** What is not in the ledger: the time in milliseconds, and who holds a stream. */
export interface Surroundings {
  readonly now: number;
  readonly presence: Presence;
}

/** The object of that kind and name as it is now. */
export function findObject(
  state: FederationState,
  { kind, name }: ObjectName,
  surroundings: Surroundings,
): ObjectView | undefined {
  switch (kind) {
    case 'FederatedJob': {
      const job = findJob(state, name);
      return job === undefined ? undefined : { object: jobObject(state, job, surroundings), seq: job.seq };
    }
    case 'Site': {
      const site = state.sites.get(name);
      if (site === undefined) return undefined;
      return {
        object: siteObject(state, site, surroundings.presence, surroundings.now),
        seq: site.seq,
      };
    }
    case 'Model': {
      const model = state.models.get(name);
      return model === undefined
        ? undefined
        : { object: modelObject(model), seq: model.versions.at(-1)?.seq ?? 0 };
    }
    case 'ModelRollout': {
      const rollout = state.rollouts.get(name);
      return rollout === undefined
        ? undefined
        : { object: rolloutObject(state, rollout, surroundings.presence), seq: rollout.seq };
    }
  }
}

/** All objects of a kind, in the order of their creation. */
export function listObjects(
  state: FederationState,
  kind: ObjectKind,
  surroundings: Surroundings,
): readonly ObjectView[] {
  return namesOf(state, kind).flatMap((name) => findObject(state, { kind, name }, surroundings) ?? []);
}

/** The object that an entry is about, if any. That of a deleted job is known from its last entry only. */
export function subjectOf(state: FederationState, entry: LedgerEntry): ObjectName | undefined {
  if (entry.type === 'model.registered') return { kind: 'Model', name: entry.body.model };
  if (entry.type === 'rollout.applied' || entry.type === 'rollout.undone') {
    return { kind: 'ModelRollout', name: entry.body.model };
  }
  if (entry.type === 'job.deleted' || entry.type === 'job.submitted') {
    return { kind: 'FederatedJob', name: entry.body.name };
  }
  if ('jobId' in entry.body) {
    const job = state.jobs.get(entry.body.jobId);
    return job === undefined ? undefined : { kind: 'FederatedJob', name: job.name };
  }
  return 'site' in entry.body ? { kind: 'Site', name: entry.body.site } : undefined;
}

function namesOf(state: FederationState, kind: ObjectKind): readonly string[] {
  switch (kind) {
    case 'FederatedJob':
      return Array.from(state.jobs.values(), ({ name }) => name);
    case 'Site':
      return [...state.sites.keys()];
    case 'Model':
      return [...state.models.keys()];
    case 'ModelRollout':
      return [...state.rollouts.keys()];
  }
}

function modelObject({ name, versions }: ModelState): ModelObject {
  const latest = versions.at(-1)?.version ?? 0;
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'Model',
    metadata: {
      name,
      labels: {},
      creationTimestamp: new Date(versions[0]?.createdAt ?? 0).toISOString(),
      generation: latest,
    },
    spec: {},
    status: {
      latestVersion: latest,
      versions: versions.map(({ version, jobName, jobId, manifestDigest, weightsDigest, createdAt }) => {
        const time = new Date(createdAt).toISOString();
        return { version, jobName, jobId, manifestDigest, weightsDigest, time };
      }),
    },
  };
}
