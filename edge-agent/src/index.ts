export { runAgent, type MainOptions } from './main.js';
export { loadConfig, type AgentConfig, type AgentFlags, type Environment } from './config.js';
export type {
  Clock,
  DatasetHandle,
  EvaluationResult,
  EvaluationTask,
  Trainer,
  TrainingEvents,
  TrainingResult,
  TrainingTask,
} from './ports.js';
