"""Sums of what silos hold, of which no one learns the parts: Bonawitz, Ivanov, Kreuter, Marcedone, McMahan, Patel,
Ramage, Segal, Seth 2017, "Practical Secure Aggregation for Privacy-Preserving Machine Learning",
https://eprint.iacr.org/2017/281, figure 4 with its consistency round.
"""
