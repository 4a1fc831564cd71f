// The scripts are plain JavaScript, checked on their own (scripts/tsconfig.json).
declare module '*.mjs';
