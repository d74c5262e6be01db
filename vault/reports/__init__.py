"""The twelve reports: each query beside what it joins from live tables and the policy bundle, and the way to run one."""
