import type { FederatedJob } from './federated-job.js';
import type { ModelRollout } from './model-rollout.js';
import type { API_VERSION } from './metadata.js';
import type { JobStatus, ModelStatus, RolloutStatus, SiteStatus } from './status.js';

/** Metadata of an object that the coordinator serves. Generation counts changes of the spec, from 1. */
export type ObjectMetadata = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339 in UTC. */
  readonly creationTimestamp: string;
  readonly generation: number;
};

type Resource<K extends string, Spec, Status> = {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: K;
  readonly metadata: ObjectMetadata;
  readonly spec: Spec;
  readonly status: Status;
};

/** What `tributary get` shows: the applied document with what became of it. */
export type FederatedJobObject = Resource<'FederatedJob', FederatedJob['spec'], JobStatus>;
export type ModelRolloutObject = Resource<'ModelRollout', ModelRollout['spec'], RolloutStatus>;
export type SiteObject = Resource<'Site', Readonly<Record<string, never>>, SiteStatus>;
export type ModelObject = Resource<'Model', Readonly<Record<string, never>>, ModelStatus>;

export type ServedObject = FederatedJobObject | SiteObject | ModelObject | ModelRolloutObject;
