import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 40 to 59: the site said no, and what rounds and jobs come to. */
export const SITE_GUIDANCE = {
  POLICY_MISSING: {
    causes: [
      'agent.yaml names no `policy`, or the file that it names is not there.',
      'A path is relative: it counts from agent.yaml, not from where the agent was started.',
    ],
    steps: [
      'Write a SitePolicy (README, step 2; DOCUMENTS.md has every field) and name it in agent.yaml.',
      'The policy is read anew for every order: with the file in place, the next round finds it.',
    ],
  },
  POLICY_REFUSED: {
    causes: [
      'The policy lists neither this dataset nor these columns, metrics or layers for jobs.',
      'The job demands fewer sites than the policy’s `minimumCohort`, or more of the budget than is left.',
      'The policy file itself cannot be read as a SitePolicy; then every job is refused.',
    ],
    steps: [
      'The message names the rule, such as `spec.datasets.columns`. It is the site’s decision: change the job, or ask the site.',
      'At the site, see what would be said before anything runs: `tributary-agent dataset check -f job.yaml`.',
      'Every refusal stands in `decisions.jsonl` of the site and in `tributary describe fj/NAME`.',
    ],
  },
  DATASET_UNKNOWN: {
    causes: [
      'The job says another `dataset.name` than agent.yaml does.',
      'agent.yaml was changed and the agent not restarted.',
      'The job asks every site, and some do not have this table.',
    ],
    steps: [
      'List the datasets of the site: `tributary-agent dataset check`.',
      'Restart the agent after a change of agent.yaml.',
      'Label the sites that have the table, and give the job a `siteSelector`.',
    ],
  },
  DATASET_INVALID: {
    causes: [
      'A line has another number of cells than the header: a delimiter or line break inside a cell without quotes.',
      'A cell cannot be read as the job’s feature demands: a comma in a number, another form of date.',
      'The file has another encoding or delimiter than agent.yaml says.',
      'The view is no single SELECT, names a column that is not there, or reaches for a file that was not declared.',
      'A column of the job, of the key or of the de-identification is missing.',
    ],
    steps: [
      'Run `tributary-agent dataset check -f job.yaml` at the site: it lists every problem with line and column.',
      'Set `delimiter`, `quote` and `encoding` of the dataset; in views, TRY_CAST makes NULL of what is no number.',
      'Values are never told: open the file at the line that is named.',
    ],
  },
  DATASET_TOO_SMALL: {
    causes: [
      'The table has fewer rows than `minimumRows` of the policy, after de-identification has left some out.',
      'Too many rows have no label, or an empty cell where the job drops such rows.',
      'After the split fewer rows train than the policy’s `minCount`.',
    ],
    steps: [
      'Look at what is left: `tributary-agent dataset describe NAME`, and `dataset check -f job.yaml` for the job.',
      'The limits protect the people in the table: let the site decide, and leave the site out (`siteSelector`) otherwise.',
    ],
  },
  TRAINING_FAILED: {
    causes: [
      'The worker or the trainer process ended: out of memory, a native binding that this machine cannot run.',
      'The trainer behind `trainer.path` does not answer or answered something else.',
      'No backend could take a training step of this model.',
    ],
    steps: [
      'Read the agent’s log (`journalctl -u tributary-agent`); the cause stays at the site.',
      'Try it there: `tributary-agent backends -f job.yaml`, then `tributary-agent train --offline -f job.yaml`.',
      'After a worker that was killed, look for the kernel’s hand: `journalctl -k | grep -i oom`; lower `batchSize` or give it memory.',
    ],
  },
  TRAINING_DIVERGED: {
    causes: [
      'The learning rate is too high for the model or the batch.',
      'A feature has a wide range and no scaling, or this site measures it in another unit.',
      'The loss does not fit the last layer.',
    ],
    steps: [
      'Lower `training.optimizer.learningRate` by ten, or warm it up (`schedule: { type: Warmup, length: 3 }`).',
      'Where one site alone diverges, compare its units: `tributary-agent dataset describe NAME` there and elsewhere.',
      'Try with `tributary-agent train --offline`, then apply the job under another name.',
    ],
  },
  PROOF_INVALID: {
    causes: [
      'The coordinator was restored from a backup: its ledger is shorter than what the agent has verified.',
      'Somebody keeps two ledgers and tells sites different stories.',
      'The ledger was damaged.',
    ],
    steps: [
      'Do not delete the agent’s state to silence it: it is the witness.',
      'Ask the operator whether a backup was restored, and from when. The coordinator’s log names every site that has said so: `tributary logs`.',
      'If it was, agree on it with the sites, revoke and invite them, and join from empty data directories.',
      'If it was not, stop the federation and find out who runs the other ledger.',
    ],
  },
  SITE_NOT_READY: {
    causes: [
      "The site's policy asks for an approval (spec.approval), and nobody there has approved the job yet.",
      'It is outside the hours in which the site trains (spec.schedule).',
    ],
    steps: [
      'The job waits by itself; `tributary describe fj NAME` says for which sites.',
      'At the site `tributary-agent jobs` lists what waits, and `tributary-agent approve NAME` approves it.',
      '`tributary-agent policy explain NAME` says what each rule demands and found.',
    ],
  },
  AUTHOR_UNKNOWN: {
    causes: [
      'The policy of the site does not list the key with which the job was signed.',
      'The author made a new key, or signs on another machine with another context file.',
    ],
    steps: [
      'Compare `tributary author list` with `spec.authors` in the policy.',
      'If the author is who he says, the site adds `{ name, key }`; the next order is judged anew. No restart is needed.',
      'With several keys, choose with `tributary apply --author NAME`.',
    ],
  },
  ROUND_UNDERSUBSCRIBED: {
    causes: [
      'Sites are away, declined, or were slower than `roundDeadlineSeconds`.',
      '`minSites` is larger than the number of sites that have the dataset and allow the job.',
    ],
    steps: [
      'See who is there: `tributary get sites`; and who declined and why: `tributary describe fj/NAME`.',
      'The round is tried again by itself, after a pause that grows. Bring the sites back meanwhile.',
      'Where sites can never take part, cancel and apply a job with a smaller `minSites` or with a `siteSelector`.',
    ],
  },
  JOB_DEADLINE: {
    causes: [
      '`activeDeadlineSeconds` (a day by default) is shorter than the rounds take.',
      'The job waited for sites most of the time.',
    ],
    steps: [
      'Look at where the time went: `tributary describe fj/NAME`.',
      'Apply it under another name with a longer `activeDeadlineSeconds`. For a job that still runs it may be raised: edit, and apply again.',
    ],
  },
  JOB_CANCELLED: {
    causes: [
      'Somebody ran `tributary cancel` or `tributary delete`, with the reason that stands in the ledger.',
    ],
    steps: [
      'See who and why: `tributary describe fj/NAME`.',
      'Versions registered before stay. To go on, apply the job under another name.',
    ],
  },
  JOB_RETRIES_EXHAUSTED: {
    causes: [
      'A round failed again and again for the same reason, mostly too few reports (ROUND_UNDERSUBSCRIBED).',
      'A site’s policy, dataset or memory lets the job fail there every time, and `minSites` needs that site.',
    ],
    steps: [
      'Read the last failure in the message, and all of them in `tributary describe fj/NAME`.',
      'Mend the cause at the sites: `tributary-agent dataset check -f job.yaml` says there what would stop it.',
      'A failed job does not run again: apply it under another name, or delete it first.',
    ],
  },
} as const satisfies Record<string, ErrorGuidance>;
