import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 30 to 39: an update was refused. */
export const UPDATE_GUIDANCE = {
  UPDATE_NOT_FINITE: {
    causes: [
      'Training diverged in its last steps: a learning rate that is too high, features without scaling.',
      'A trainer in another language returned NaN.',
    ],
    steps: [
      'Try the job alone at that site: `tributary-agent train --offline -f job.yaml`, and watch the loss.',
      'Lower `training.optimizer.learningRate`, scale the features (`scaling: Federated`), then apply under another name.',
    ],
  },
  UPDATE_OUT_OF_RANGE: {
    causes: [
      'Agent and coordinator read `update.clipNorm` differently: versions that do not fit.',
      'A trainer or an agent was altered. An honest agent clips before it sends.',
    ],
    steps: [
      'Compare versions: `tributary get sites -o yaml` shows that of each agent.',
      'If the versions agree, do not let the site into further rounds until you know why: `tributary revoke NAME`.',
    ],
  },
  UPDATE_WRONG_SHAPE: {
    causes: [
      'Agent and coordinator build the model differently: versions that do not fit.',
      'A trainer in another language returns its tensors in another order or number.',
    ],
    steps: [
      'Upgrade the older side, coordinator first.',
      'With a trainer of your own, compare its layout with the one it is sent (edge-agent/TRAINER.md).',
    ],
  },
  UPDATE_WRONG_ROUND: {
    causes: [
      'The round closed, failed or was tried again while the site was training or away.',
      'The agent has state of another coordinator, or of one that was restored from a backup.',
    ],
    steps: [
      'Nothing, where it happens now and then: the agent drops the update and takes part in the next round.',
      'Where it happens in every round, the site is too slow: raise `roundDeadlineSeconds`, or lower `training.epochs`.',
      'After a coordinator was restored from a backup, its agents may have to join again (see PROOF_INVALID).',
    ],
  },
  UPDATE_DUPLICATE: {
    causes: [
      'Two processes of one site answer the same round (see AGENT_FENCED).',
      'The site’s first update of this round was refused; it gets no second try in the same round.',
    ],
    steps: [
      'Make sure that one process alone uses the data directory.',
      '`tributary describe fj/NAME` shows the first update of the site and what became of it; mend that cause.',
    ],
  },
  UPDATE_TOO_LARGE: {
    causes: [
      'The agent sends more than it announced: versions that do not fit, or an altered agent.',
      'The model is larger than the coordinator takes.',
    ],
    steps: ['The message names the limit. Make the model smaller, or compare the versions of both sides.'],
  },
  UPDATE_CORRUPT: {
    causes: [
      'Bytes changed on their way: a proxy that rewrites bodies, failing memory.',
      'The outbox of the agent is damaged.',
    ],
    steps: [
      'The agent uploads again by itself. Once is nothing.',
      'Where it repeats, take the proxy out of the way for a try; then check disk and memory of the site’s machine.',
    ],
  },
  UPDATE_LATE: {
    causes: [
      'Training and upload took longer than `roundDeadlineSeconds`.',
      'Enough other sites had reported, and the stage closed early because of over-selection.',
    ],
    steps: [
      'See how long the site takes: `tributary describe fj/NAME` has the times of its entries.',
      'Raise `roundDeadlineSeconds`, set `training.steps` so that large sites take no longer than small ones, or give the site a faster line.',
    ],
  },
  NOT_IN_COHORT: {
    causes: [
      'The site was not drawn for this round, or declined it before.',
      'A site was approved after the round had opened; it takes part from the next one.',
    ],
    steps: [
      'Wait for the next round.',
      'Where a site is never drawn, compare its labels with `siteSelector` and look at `cohortSize`: `tributary describe site/NAME`.',
    ],
  },
  UPLOAD_ID_REUSED: {
    causes: [
      'The agent’s data directory was copied or restored while an upload was on its way.',
      'An agent was altered: ours draws a new id for every plaintext.',
    ],
    steps: [
      'Make sure that the directory was not restored from a backup; if it was, join again from an empty one.',
      'Otherwise restart the agent; it drops the upload and goes on with the next round.',
    ],
  },
} as const satisfies Record<string, ErrorGuidance>;
