import { register } from 'node:module';

/*
 * For `node --import`: the process calls itself 0.2.0 and speaks the wire versions of 0.2.0 only.
 */
register('./previous-wire-hooks.js', import.meta.url);
