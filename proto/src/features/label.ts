import { DEFAULT_MISSING } from '../documents/feature-spec.js';
import { labelScaling, type LearningTask } from '../documents/learning-task.js';
import { presentText, readNumber, type Cell, type CellFault } from './cell.js';

/** How the label column becomes the target of a model. */
export interface LabelPlan {
  /** Outputs of the model: 1, or the number of classes. */
  readonly outputs: number;
  /**
   * The target, or why there is none. Binary: 1 for the positive value, 0 for any other. MultiClass: index of the
   * class. Regression: (number - center) / scale, finite as float32. '', 'NA', 'NaN' and null are Missing.
   */
  read(cell: Cell): number | CellFault;
}

const MISSING: ReadonlySet<string> = new Set(DEFAULT_MISSING);

/** Compiles the task of a job. */
export function compileLabel(task: LearningTask): LabelPlan {
  const read = readerOf(task);
  return {
    outputs: task.type === 'MultiClass' ? task.classes.length : 1,
    read(cell) {
      const text = presentText(cell, MISSING);
      return text === undefined ? 'Missing' : read(text);
    },
  };
}

function readerOf(task: LearningTask): (text: string) => number | CellFault {
  switch (task.type) {
    case 'Binary':
      return (text) => (text === task.positive ? 1 : 0);
    case 'MultiClass': {
      const indices = new Map(task.classes.map((name, index) => [name, index]));
      return (text) => indices.get(text) ?? 'UnknownClass';
    }
    case 'Regression': {
      const { center, scale } = labelScaling(task) ?? { center: 0, scale: 1 };
      return (text) => {
        const value = readNumber(text);
        if (typeof value !== 'number') return value;
        const target = (value - center) / scale;
        return Number.isFinite(Math.fround(target)) ? target : 'NotFinite';
      };
    }
  }
}
