import { groupsOf, type EvaluationGroup, type GroupNumbers, type TailShape } from '@tributary/proto';

/** What a site measured on its test rows. */
export interface SiteFigures {
  /** Of all its test rows. */
  readonly all: GroupNumbers;
  /** One a subgroup of the job, in order; absent where the job has none. */
  readonly subgroups?: readonly GroupNumbers[];
}

const NOTHING: GroupNumbers = { examples: 0, metrics: {} };

/**
 * The figures of `site` in the groups of the tail. A site that is held out counts there, under its own name and nowhere
 * else: the other groups are about sites whose rows the model has seen.
 */
export function placeFigures(shape: TailShape, site: string, figures: SiteFigures): readonly GroupNumbers[] {
  const groups = groupsOf(shape);
  const heldOut = groups.some((group) => group.type === 'HeldOut' && group.site === site);
  let subgroup = 0;
  const place = (group: EvaluationGroup): GroupNumbers => {
    switch (group.type) {
      case 'All':
        return heldOut ? NOTHING : figures.all;
      case 'HeldOut':
      case 'Site':
        return group.site === site ? figures.all : NOTHING;
      case 'Subgroup':
        return (heldOut ? undefined : figures.subgroups?.[subgroup++]) ?? NOTHING;
    }
  };
  return groups.map(place);
}
