import type { ErrorCode } from '../error-table.js';
import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 54 to 59: rounds with secure aggregation. */
export const SECURE_ROUND_GUIDANCE = {
  SECAGG_IMPOSSIBLE: {
    causes: [
      'The job asks for fewer than three sites: each of two knows the other’s update from the sum.',
      'Colluders, dropouts and minimum together leave no threshold t with 2t > n + c.',
      '`clipNorm` is so large that 32 bits hold no resolution for so many sites.',
    ],
    steps: [
      'The message says which number does not fit: invite more sites, or lower colluders, dropouts or `clipNorm`.',
      'Where two sites are all there are, the job has to say `secureAggregation: false`, and their policies have to allow it.',
    ],
  },
  SECAGG_MESSAGE_INVALID: {
    causes: [
      'An agent sent shares, signatures or sets that contradict what it, or its peers, signed: broken, or cheating.',
      'The coordinator showed a roster, cohort or survivor set that is not the one that others signed.',
    ],
    steps: [
      'The message names the agent and the stage; a dealer of bad shares is skipped where enough others are left.',
      'Where a set of the coordinator is refused, compare the tree heads of the sites before any of them trains again.',
    ],
  },
  SECAGG_STAGE_PASSED: {
    causes: [
      'The coordinator was restored from a backup, or asks twice with different sets: both could take a single update apart.',
      'Two processes of one agent share a state directory.',
    ],
    steps: [
      'Nothing is to be done at the site: the round ends, and the next one begins with fresh keys.',
      'If no backup was restored, look at the alarms: `tributary describe fj/NAME`.',
    ],
  },
  SECAGG_TOO_FEW: {
    causes: [
      'More sites left a secure round than it tolerates; its plan is in the message that starts the job.',
      'The policy of a site asks for more sites in a sum than were left.',
    ],
    steps: [
      'The round is tried again by itself. Bring the sites back meanwhile: `tributary get sites`.',
      'Where sites leave often, invite more of them, or accept fewer colluders: both raise the number that may drop out.',
    ],
  },
  SECAGG_SUM_INVALID: {
    causes: [
      'Sites were shown different base models or cohorts, so that their masks do not cancel.',
      'A site sent words that no honest update has: under masks that shows in the sum only.',
    ],
    steps: [
      'The sum is thrown away and the round is tried again with fresh keys.',
      'Where it happens again, run the job with fewer sites in turn to find the one that it needs for the failure.',
    ],
  },
  SECAGG_DIFFERENCING: {
    causes: [
      'A round was tried again on the same model with few other sites, after the site had helped to unmask the first try.',
      'The coordinator varies the cohort to take single updates from the differences of sums.',
    ],
    steps: [
      'Bring back the sites of the first try, so that the next one has the same; or leave out as many as a sum needs.',
      'Otherwise the job fails; what it learned in committed rounds stays. Apply it again under another name when the sites are back.',
    ],
  },
} as const satisfies Partial<Record<ErrorCode, ErrorGuidance>>;
