import { listenHttp2 } from '../../src/envoy/grpc-http2.ts';
import { transportContract } from './transport-suite.ts';

transportContract('http2', listenHttp2);
