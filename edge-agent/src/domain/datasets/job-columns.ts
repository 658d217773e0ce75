import { featureColumns, type FederatedJobSpec } from '@tributary/proto';

/** The parts of a job that decide which columns it reads. */
export type ColumnUse = Pick<FederatedJobSpec, 'dataset' | 'features'> & {
  readonly evaluation: Pick<FederatedJobSpec['evaluation'], 'subgroups'>;
};

/** Every column that a job reads, each once: its label, those of its features and subgroups. */
export function jobColumns({ dataset, features, evaluation }: ColumnUse): readonly string[] {
  const subgroups = (evaluation.subgroups ?? []).map(({ column }) => column);
  return [...new Set([dataset.label, ...featureColumns(features), ...subgroups])];
}
