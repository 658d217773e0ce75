import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 80 to 84: membership. */
export const MEMBERSHIP_GUIDANCE = {
  ROSTER_MISSING: {
    causes: [
      'The site’s policy has `spec.federation`, but no roster was ever published to this coordinator.',
      'The coordinator or the agent is older than rosters: an order of wire version 1.0 proves none.',
      'The coordinator was restored from a backup that is older than the first roster.',
    ],
    steps: [
      'Publish one: `tributary federation roster publish -f roster.json`.',
      'Compare versions of both sides: `tributary version`, `tributary-agent --version`.',
    ],
  },
  ROSTER_INVALID: {
    causes: [
      'Fewer holders of root keys have signed than the threshold asks for.',
      'The site pins another root than the one that signed: it was made anew, or the policy has an old one.',
      'The file was changed after it was signed, or cut while copying.',
      'Somebody without the keys of the root made it.',
    ],
    steps: [
      'Check it with the root beside it: `tributary federation roster verify -f roster.json`.',
      'Compare keys and threshold with `spec.federation.root` of the policy; after a change of roots publish with `--rotation`.',
      'Where no holder of a key knows of it, treat the coordinator as hostile.',
    ],
  },
  ROSTER_EXPIRED: {
    causes: [
      'Nobody has renewed the roster in time (90 days unless `--days` said otherwise).',
      'The coordinator keeps a newer one back: sites go by an old roster for as long as it says, no longer.',
      'The clock of the site is wrong.',
    ],
    steps: [
      'Renew, sign and publish: `tributary federation roster renew`, then `sign` and `publish`.',
      'Where that was done, ask the operator why sites are shown an older one, and compare clocks.',
    ],
  },
  ROSTER_ROLLBACK: {
    causes: [
      'The coordinator was restored from a backup that is older than the roster that the site has seen.',
      'Two people changed copies of one file, and both were signed as the same version.',
      'The coordinator shows an old roster on purpose, to bring back somebody who was removed.',
    ],
    steps: [
      'Publish the newest roster again, or one with a higher version: `roster renew`, `sign`, `publish`.',
      'Where there was no restore, do not go on before the operator has explained it: the site’s log has both versions.',
    ],
  },
  NOT_IN_ROSTER: {
    causes: [
      'A site joined, or joined again with a new key, and the roster was not changed.',
      'A site was removed from the roster, and the round had begun with it.',
      'The coordinator put agents of its own into the round.',
    ],
    steps: [
      'The message names who is not in it. Where that is a site you know, have it run `tributary-agent identity`, then `tributary federation roster add`, `sign` and `publish`.',
      'Where nobody knows it, ask the operator: the site has refused to train with it.',
    ],
  },
} as const satisfies Record<string, ErrorGuidance>;
