"""One page about a network, and what it is made of: results -> sections -> one HTML file."""

from retime.report.findings import Findings, collect
from retime.report.html import Section
from retime.report.write import report
