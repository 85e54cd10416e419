// Parts of a user's page that are loaded when the first user is opened.

export { Apps } from './Apps.tsx';
export { Diagnosis } from './Diagnosis.tsx';
export { UserTraffic } from './UserTraffic.tsx';
