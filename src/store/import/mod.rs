//! Imports and exports: reads the tables of Marzneshin, and reads and writes all tables of Sarban.

pub mod legacy;
pub mod tables;
