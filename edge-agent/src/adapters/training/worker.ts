import { quietLibrary } from './backend.js';
import { serveRequests } from './request-server.js';
import { TaskRunner } from './task-runner.js';

/** Entry of the training worker: its own TensorFlow.js, apart from the thread that talks to the coordinator. */
quietLibrary();
serveRequests(new TaskRunner());
