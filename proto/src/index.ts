export * from './errors/tributary-error.js';
