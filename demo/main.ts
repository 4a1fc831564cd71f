// What `npm start` runs, under Node 24 and with ENVOY_BIN set: see run-demo.ts.
import { runDemo } from './run-demo.ts';
import { untilSignal } from './until-signal.ts';

process.exitCode = await runDemo(process.env, (text) => console.log(text), untilSignal());
