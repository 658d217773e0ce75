/** Paddings of a window in Keras. */
export const KERAS_PADDING = { Valid: 'valid', Same: 'same' } as const;
